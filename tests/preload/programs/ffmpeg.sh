#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# ffmpeg: test pictures and tones through encoders, filters and decoders with two threads.
# needs: ffmpeg

# Runs it with what makes its output depend on the input only.
ff() { ffmpeg -nostdin -v error -threads 2 -flags +bitexact "$@"; }
ff -f lavfi -i testsrc=d=2:s=320x240:r=25 -c:v rawvideo -f framemd5 - | sha256sum
ff -f lavfi -i testsrc=d=2:s=320x240:r=25 -c:v ffv1 -slices 4 -threads 2 -fflags +bitexact a.mkv
ff -i a.mkv -f framehash -hash sha256 - | tail -n 2
ff -i a.mkv -vf 'scale=160:120,hue=s=0,unsharp,fps=10' -c:v mpeg4 -b:v 500k -fflags +bitexact b.avi
ff -i b.avi -f md5 -
ff -f lavfi -i 'sine=440:d=3' -c:a flac -fflags +bitexact c.flac
ff -i c.flac -af 'aresample=22050,volume=0.5,aecho' -f md5 -
ff -i a.mkv -i c.flac -shortest -c copy -fflags +bitexact d.mkv
ffprobe -v error -show_entries stream=codec_name,width,sample_rate -of csv d.mkv
