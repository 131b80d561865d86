#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# valgrind without a tool on programs that are preloaded: the library must start in an emulated process.
# needs: valgrind

valgrind -q --tool=none /bin/true && echo "none: $?"
valgrind -q --tool=none /bin/sort -r <<<$'a\nc\nb'
# shellcheck disable=SC2016 # for the inner shell
valgrind -q --tool=none --child-silent-after-fork=yes bash -c 'echo "$(ls -d /proc/self)" | wc -l'
words 500 >text
valgrind -q --tool=none /usr/bin/sha256sum text
