#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# javac, and the JVM: threads, garbage collectors, direct buffers, deflate, exceptions.
# needs: java javac

cat >Case.java <<'JAVA'
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;
import java.util.stream.*;
import java.util.zip.*;

public class Case {
	static long work(int k) {
		Map<Integer, StringBuilder> m = new TreeMap<>();
		for (int i = 0; i < 60000; i++)
			m.computeIfAbsent(i * k % 4999, x -> new StringBuilder()).append(i);
		return m.values().stream().mapToLong(StringBuilder::length).sum() + m.hashCode() * 0L;
	}
	static int depth(int n) { return depth(n + 1); }
	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(6);
		List<Future<Long>> jobs = IntStream.range(1, 13).mapToObj(k -> pool.submit(() -> work(k))).collect(Collectors.toList());
		for (Future<Long> f : jobs) System.out.println(f.get());
		pool.shutdown();
		List<ByteBuffer> direct = new ArrayList<>();
		for (int i = 0; i < 500; i++) direct.add(ByteBuffer.allocateDirect(20000 + i).put(19999, (byte) i));
		System.out.println(direct.stream().mapToInt(b -> b.get(19999)).sum());
		byte[] in = IntStream.range(0, 200000).mapToObj(Integer::toString).collect(Collectors.joining(",")).getBytes();
		byte[] out = new byte[in.length];
		for (int level = 1; level <= 9; level += 4) {
			Deflater d = new Deflater(level); d.setInput(in); d.finish();
			byte[] packed = new byte[in.length]; int n = d.deflate(packed); d.end();
			Inflater f = new Inflater(); f.setInput(packed, 0, n);
			System.out.println(f.inflate(out) == in.length && Arrays.equals(in, out)); f.end();
		}
		try { depth(0); } catch (StackOverflowError e) { System.out.println("StackOverflowError"); }
		try { List<long[]> l = new ArrayList<>(); while (true) l.add(new long[1 << 20]); }
		catch (OutOfMemoryError e) { System.out.println("OutOfMemoryError"); }
		Thread[] t = new Thread[200];
		for (int i = 0; i < t.length; i++) { t[i] = new Thread(() -> work(3)); if (i % 20 == 0) t[i].start(); }
		for (Thread x : t) if (x.isAlive()) x.join();
		System.out.println(IntStream.range(0, 1000000).parallel().filter(i -> i % 7 == 3).count());
	}
}
JAVA
javac -Xlint:all -d . Case.java
for gc in -XX:+UseSerialGC -XX:+UseG1GC -XX:+UseParallelGC; do
	java "$gc" -Xmx128m -Xshare:auto -cp . Case
done
java -XX:+UseZGC -Xmx128m -version 2>&1 | grep -c Runtime
