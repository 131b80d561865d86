#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# libxml2: parsing, XPath, schemas, streaming, HTML, entity limits.
# needs: xmllint

{
	echo '<!DOCTYPE r [<!ELEMENT r (i*)><!ELEMENT i (#PCDATA)><!ATTLIST i n CDATA #REQUIRED><!ENTITY e "text">]><r>'
	for ((i = 0; i < 20000; i++)); do echo "<i n=\"$i\">&e; $((i * 7919 % 10007))</i>"; done
	echo '</r>'
} >case.xml
xmllint --noent case.xml | sha256sum
xmllint --valid --noout case.xml && echo valid
xmllint --xpath 'sum(//i[@n mod 7 = 3]/@n)' case.xml
xmllint --xpath 'string(//i[last()])' case.xml && echo
xmllint --stream --noout case.xml && echo streamed
xmllint --c14n case.xml | cksum
xmllint --sax --noout case.xml | wc -l
xmllint --html --xmlout - <<<'<p>a<b>c<p>d' 2>/dev/null | tail -n 3
{
	echo '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
	for p in ab bc cd de ef fg gh; do printf '<!ENTITY %s "%s">\n' "${p:1}" "$(printf "&${p:0:1};%.0s" {1..20})"; done
	echo ']><l>&h;</l>'
} >laughs.xml
xmllint --noent --noout laughs.xml 2>/dev/null || echo "status $?"
