#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# fio: jobs as processes and as threads, buffers verified by checksums.
# needs: fio

job() {
	fio --name=j --filename=file --size=8M --bs=16k --randseed=7 --output-format=json "$@" 2>&1 |
		jq -c '.jobs[] | [.jobname, .error, .read.total_ios, .write.total_ios]'
}
command -v jq >/dev/null || exit 77
job --rw=randwrite --verify=crc32c --ioengine=psync
job --rw=randread --ioengine=mmap --numjobs=3 --thread
job --rw=randrw --ioengine=libaio --iodepth=8 --direct=0 --verify=sha256
job --rw=read --ioengine=sync --numjobs=4 --group_reporting
