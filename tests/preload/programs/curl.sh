#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# curl on files: globs, parallel transfers, uploads, its formats and errors.
# needs: curl

words 5000 >text
for i in {1..20}; do head -n $((i * 200)) text >"f$i"; done
curl -sS "file://$PWD/f[1-20]" | sha256sum
curl -sS -Z --parallel-max 8 "file://$PWD/f[1-20]" -o 'out#1' && cat out? out?? | sha256sum
curl -sS -T text "file://$PWD/up" && cmp text up && echo same
curl -sS -r 100-199 "file://$PWD/text" | cksum
curl -sS -w '%{size_download} %{http_code} %{scheme}\n' -o /dev/null "file://$PWD/text"
curl -sS "file://$PWD/absent" 2>/dev/null || echo "status $?"
curl -sS --noproxy '*' http://127.0.0.1:1/ 2>/dev/null || echo "status $?"
curl -V | grep -c ^Protocols
