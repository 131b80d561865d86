#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# guile: the Boehm collector, which finds roots by scanning memory, and has its own threads.
# needs: guile

export GUILE_AUTO_COMPILE=0
cat >case.scm <<'SCM'
(use-modules (ice-9 threads) (ice-9 regex) (srfi srfi-1))
(define (work k)
  (let ((h (make-hash-table)))
    (do ((i 0 (+ i 1))) ((= i 20000))
      (hash-set! h (modulo (* i k) 5003) (make-string (modulo i 50) #\x)))
    (hash-fold (lambda (key v n) (+ n (string-length v))) 0 h)))
(display (par-map work (iota 8 1))) (newline)
(display (modulo (expt 3 20000) 1000000007)) (newline)
(display (fold + 0 (map string->number (map match:substring (list-matches "[0-9]+" (string-join (map number->string (iota 5000)) ",")))))) (newline)
(gc)
(display (length (sort (map (lambda (i) (modulo (* i 7919) 10007)) (iota 50000)) <))) (newline)
(display (call-with-current-continuation (lambda (k) (for-each (lambda (x) (if (> x 3) (k x))) '(1 2 3 4 5)) 'none))) (newline)
(define bvs (map (lambda (i) (make-bytevector 10000 (modulo i 256))) (iota 500)))
(use-modules (rnrs bytevectors))
(display (fold + 0 (map (lambda (b) (bytevector-u8-ref b 9999)) bvs))) (newline)
SCM
sed -i 's/^(use-modules (ice-9 threads)/(use-modules (rnrs bytevectors))\n&/' case.scm
guile case.scm
