#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Info-ZIP: archives in and out, encrypted, tested.
# needs: zip unzip

mkdir -p tree/{a..d}
for d in tree/*; do words 3000 >"$d/file"; done
find tree -exec touch -d @1000000000 {} +
zip -q -r -X one.zip tree && sha256sum one.zip
unzip -q one.zip -d out && diff -r tree out/tree && echo same
unzip -tq one.zip
zip -q -P secret -r two.zip tree && unzip -q -P secret -d two two.zip && diff -r tree two/tree && echo same
zip -q -d one.zip 'tree/a/*' && unzip -Z1 one.zip
head -c 20000 one.zip >cut.zip
unzip -tq cut.zip >/dev/null 2>&1 || echo "status $?"
