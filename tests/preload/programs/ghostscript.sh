#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Ghostscript: its interpreter's own memory manager, fonts, PDF out and in.
# needs: gs

cat >case.ps <<'PS'
%!PS
/Helvetica findfont 24 scalefont setfont
1 1 20 {
	/n exch def
	50 n 30 mul moveto n 20 string cvs show
	n 20 div 0.3 0.6 setrgbcolor
	300 n 30 mul 10 0 360 arc fill
} for
showpage
/d 10000 dict def
0 1 9999 { d exch dup 20 string cvs put } for
d length =
0 1 5000 { 100 string pop } for
1 2 500 { pop } for
(done) =
/Times-Roman findfont 100 scalefont setfont
100 100 moveto (page two) true charpath stroke
showpage
PS
gs -q -dNOPAUSE -dBATCH -sDEVICE=ppmraw -r72 -dGraphicsAlphaBits=4 -sOutputFile=p%d.ppm case.ps && sha256sum p?.ppm
gs -q -dNOPAUSE -dBATCH -sDEVICE=pdfwrite -sOutputFile=case.pdf case.ps
gs -q -dNOPAUSE -dBATCH -sDEVICE=pnggray -dNumRenderingThreads=2 -r100 -sOutputFile=q%d.png case.pdf && sha256sum q?.png
gs -q -dNOPAUSE -dBATCH -sDEVICE=txtwrite -sOutputFile=- case.pdf
