#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# GnuPG: keys, signatures, encryption, with its agent; secure memory is mlocked by libgcrypt.
# needs: gpg gpgv

export GNUPGHOME=$PWD/gnupg
mkdir -m 700 gnupg
trap 'gpgconf --kill all' EXIT
words 5000 >text
g() { gpg --batch --quiet --no-tty --pinentry-mode loopback --passphrase '' --trust-model always "$@"; }
g --quick-generate-key 'A <a@example.org>' rsa2048 default never 2>/dev/null
g --list-keys --with-colons | cut -d: -f1 | tr '\n' ' '
g -o text.sig --detach-sign text
g --verify text.sig text 2>&1 | grep -c 'Good signature'
g -r a@example.org -o text.gpg --encrypt text && g -d text.gpg 2>/dev/null | cmp - text && echo same
g -o sym.gpg --symmetric --passphrase secret text && g --passphrase secret -d sym.gpg 2>/dev/null | cmp - text && echo same
g --print-md SHA512 text | sha256sum
g --export a@example.org >pub.gpg && gpgv --keyring "$PWD/pub.gpg" text.sig text 2>&1 | grep -c Good
head -c 1000 text.gpg | g -d >/dev/null 2>&1 || echo "status $?"
