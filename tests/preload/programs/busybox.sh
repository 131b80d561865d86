#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# busybox: Debian's is static, so that preloading must leave it alone; a dynamic one must work as well.
# needs: busybox

words 20000 >text
busybox sort text | busybox sha256sum
busybox awk '{ n[$2]++ } END { for (i in n) print i, n[i] }' text | busybox sort
busybox sed -n 's/maple/X/gp' text | busybox wc
busybox gzip -c text | busybox zcat | busybox cmp - text && echo same
busybox sh -c 'i=0; while [ $i -lt 1000 ]; do i=$((i + 1)); done; echo $i; ls -d /bin'
busybox tar -cf - text | busybox tar -tf -
