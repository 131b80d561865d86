#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# emacs in batch mode: buffers, sorting, regular expressions, its collector, a subprocess.
# needs: emacs

words 10000 >text
cat >case.el <<'EL'
(with-temp-buffer
  (insert-file-contents "text")
  (while (re-search-forward "\\([a-z]+\\) \\([a-z]+\\)" nil t) (replace-match "\\2 \\1"))
  (sort-fields 4 (point-min) (point-max))
  (upcase-region (point-min) (/ (point-max) 2))
  (princ (format "%d %s\n" (buffer-size) (secure-hash 'sha256 (current-buffer))))
  (goto-char (point-max))
  (call-process "echo" nil t nil "from a child")
  (princ (buffer-substring (- (point-max) 13) (point-max))))
(let ((h (make-hash-table :test 'equal)) (n 0))
  (dotimes (i 100000) (puthash (format "k%d" (% i 7919)) (make-string (% i 90) ?x) h))
  (garbage-collect)
  (maphash (lambda (_ v) (setq n (+ n (length v)))) h)
  (princ (format "%d %d %s\n" (hash-table-count h) n (expt 7 200))))
(princ (format "%S\n" (json-parse-string "{\"a\": [1, 2, {\"b\": null}]}" :object-type 'alist)))
EL
emacs -Q --batch -l case.el
