#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# npm, offline: its version, packing a small package, running a script of it.
# needs: npm node

export npm_config_offline=true npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
npm --version
mkdir pkg
cd pkg || exit
cat >package.json <<'JSON'
{"name": "case", "version": "1.2.3", "main": "index.js", "scripts": {"hi": "node index.js"}, "files": ["index.js"]}
JSON
echo 'console.log("hi from a package")' >index.js
npm run --silent hi
npm pack --json 2>/dev/null | node -e '
	let s = ""; process.stdin.on("data", d => s += d).on("end", () => { const p = JSON.parse(s)[0]; console.log(p.filename, p.files.length) })'
npm pkg get name version
