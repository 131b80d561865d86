#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bc: numbers of thousands of digits.
# needs: bc

export BC_LINE_LENGTH=0
echo 'scale=1500; 4*a(1)' | bc -l | sha256sum
echo '2^20000 % 10^50; 3^9999 / 7^1000 % 10^40' | bc
echo 'define f(n) { if (n < 2) return 1; return n * f(n - 1); } f(1500) % (10^30 + 57)' | bc
echo 'scale=200; sqrt(2); e(1); l(10); for (i = 0; i < 3000; i++) a[i] = i ^ 9; a[2999]' | bc -l
echo '1 / 0' | bc 2>&1
