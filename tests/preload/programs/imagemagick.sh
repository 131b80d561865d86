#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# ImageMagick: synthetic pictures, filters with OpenMP threads, PNG and JPEG and back.
# needs: convert

export MAGICK_THREAD_LIMIT=2
convert -size 600x400 gradient:red-blue -swirl 90 -blur 0x3 a.ppm && sha256sum a.ppm
convert -size 500x500 plasma:fractal -seed 7 b.ppm && [ -s b.ppm ] && echo plasma
convert a.ppm -resize 50% -rotate 30 +repage -colors 64 ppm:- | sha256sum
convert a.ppm -define png:exclude-chunks=date,time,tIME c.png && convert c.png ppm:- | cmp - a.ppm && echo lossless
convert a.ppm -quality 80 d.jpg && identify -format '%w %h %m\n' d.jpg
convert a.ppm \( +clone -negate \) -append -crop 100x100 +repage tile-%02d.ppm && cat tile-*.ppm | sha256sum
convert -size 600x400 xc:gray -fx 'i/w' -statistic Median 3x3 ppm:- | sha256sum
compare -metric AE a.ppm c.png null: 2>&1 || echo " status $?"
