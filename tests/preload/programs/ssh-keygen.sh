#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# OpenSSH's key tool: generating, converting, signing and checking.
# needs: ssh-keygen

for t in rsa ecdsa ed25519; do
	ssh-keygen -q -t "$t" -N '' -C comment -f "$t"
	ssh-keygen -y -f "$t" | cut -d' ' -f1
	ssh-keygen -l -f "$t.pub" | cut -d' ' -f1,3-
done
ssh-keygen -q -s ed25519 -I id -n user -V 19700101:20380101 rsa.pub && ssh-keygen -L -f rsa-cert.pub | grep -E 'Type|Valid|Key ID' | cut -d' ' -f9-10
words 5000 >text
ssh-keygen -q -Y sign -f ecdsa -n file text 2>/dev/null
printf 'me %s\n' "$(cat ecdsa.pub)" >allowed
ssh-keygen -Y verify -f allowed -I me -n file -s text.sig <text | cut -d' ' -f1-2
ssh-keygen -p -q -P '' -N secret -f rsa >/dev/null && ssh-keygen -y -P secret -f rsa | wc -l
