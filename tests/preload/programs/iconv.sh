#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# glibc's own tools: conversions through loaded modules, and a locale compiled.
# needs: iconv localedef

printf 'Gr\xc3\xbc\xc3\x9fe \xd0\xbc\xd0\xb8\xd1\x80 \xe4\xb8\x96\xe7\x95\x8c\n%.0s' {1..5000} >text
for to in UTF-16LE UTF-7 UCS-4 EUC-JP GB18030 ISO-2022-JP-2; do
	iconv -f UTF-8 -t "$to" text >converted && iconv -f "$to" -t UTF-8 converted | sha256sum
done
iconv -f UTF-8 -t ASCII//TRANSLIT text | cksum
iconv -f UTF-8 -t KOI8-R text 2>/dev/null || echo "status $?"
iconv -l | wc -l
if [ -e /usr/share/i18n/locales/de_DE ]; then
	localedef --no-archive -i de_DE -f UTF-8 ./de_DE.UTF-8 && sha256sum de_DE.UTF-8/LC_COLLATE
fi
getent passwd root
getent hosts 127.0.0.1
