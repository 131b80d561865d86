#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# node: garbage collector, worker threads, buffers outside of its heap, zlib, crypto, child processes.
# needs: node

cat >case.js <<'JS'
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
const zlib = require('zlib'), crypto = require('crypto'), { execFileSync } = require('child_process');
function work(k) {
	const m = new Map();
	for (let i = 0; i < 50000; i++) m.set((i * k) % 7919 + ':' + (i % 100), 'v'.repeat(i % 60));
	let n = 0;
	for (const v of m.values()) n += v.length;
	const bufs = [];
	for (let i = 0; i < 300; i++) bufs.push(Buffer.alloc(10000 + i * 100, i));
	return [n, crypto.createHash('sha256').update(Buffer.concat(bufs)).digest('hex').slice(0, 16)];
}
if (!isMainThread) {
	parentPort.postMessage(work(workerData));
} else {
	const ps = [1, 2, 3, 5, 7, 11].map(k => new Promise((res, rej) => {
		const w = new Worker(__filename, { workerData: k });
		w.on('message', res); w.on('error', rej);
	}));
	Promise.all(ps).then(async r => {
		console.log(JSON.stringify(r));
		const text = Buffer.from(Array.from({ length: 100000 }, (_, i) => 'line ' + (i * 7919 % 10007)).join('\n'));
		const packed = await Promise.all([1, 5, 9].map(level => new Promise((res, rej) =>
			zlib.gzip(text, { level }, (e, b) => e ? rej(e) : res(b)))));
		for (const p of packed) console.log(zlib.gunzipSync(p).equals(text));
		const keys = await Promise.all([1, 2, 3, 4].map(i => new Promise((res, rej) =>
			crypto.scrypt('pw' + i, 'salt', 32, (e, k) => e ? rej(e) : res(k.toString('hex'))))));
		console.log(keys.join('\n'));
		const o = JSON.parse(JSON.stringify(Array.from({ length: 50000 }, (_, i) => ({ i, s: String(i), a: [i, i + 1] }))));
		console.log(o.length, o.reduce((s, x) => s + x.a[1], 0));
		console.log(execFileSync('echo', ['from a child']).toString().trim());
		const sab = new SharedArrayBuffer(1 << 20);
		new Int32Array(sab).fill(3);
		console.log(Atomics.add(new Int32Array(sab), 5, 4), new Int32Array(sab)[5]);
		new WebAssembly.Memory({ initial: 16 }).grow(16);
		console.log(new Intl.NumberFormat('de-DE').format(1234567.891));
	});
}
JS
node case.js
node -e 'console.log(structuredClone(new Map([[1, {a: [1, 2, 3]}]])))'
node --max-old-space-size=128 -e 'let a = []; for (let i = 0; i < 3e6; i++) { a[i % 1000] = { i, s: "x" + i } } console.log(a.length)'
