#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# ckpt-run: counts=full timeout=900
"""A Java program on OpenJDK's virtual machine: compiled as it runs, several threads, several collectors.

Its threads make and drop objects without end and carry checksums over what lives on, so collections happen
all the time.  Snapshotted at random moments, killed and restored, or left running: it says the same in the end.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import ckpttest as ct

JAVA = "/usr/bin/java"
ROUNDS = ct.full(400, 30)

SOURCE = r"""
import java.util.*;
import java.util.concurrent.*;

public class Churn {
	static long part(int seed, int rounds) {
		Random random = new Random(seed);
		Map<Integer, byte[]> heap = new TreeMap<>();
		long sum = seed;
		for (int r = 0; r < rounds; r++) {
			for (int i = 0; i < 60; i++) {
				byte[] bytes = new byte[random.nextInt(3000)];
				random.nextBytes(bytes);
				heap.put(random.nextInt(400), bytes);
			}
			for (Map.Entry<Integer, byte[]> e : heap.entrySet())
				sum = sum * 31 + e.getKey() + Arrays.hashCode(e.getValue());
		}
		return sum;
	}

	public static void main(String[] args) throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(3);
		List<Future<Long>> parts = new ArrayList<>();
		System.out.println("ready");
		for (int i = 0; i < 6; i++) {
			int seed = i;
			parts.add(pool.submit(() -> part(seed, Integer.parseInt(args[0]))));
		}
		for (Future<Long> f : parts)
			System.out.println(f.get());
		pool.shutdown();
	}
}
"""


def compiled():
    """The directory of the class; the compiler is in the runtime's modules."""
    where = ct.workdir("class")
    with open(os.path.join(where, "Churn.java"), "w") as f:
        f.write(SOURCE)
    javac = [JAVA, "-XX:TieredStopAtLevel=1", "-m", "jdk.compiler/com.sun.tools.javac.Main", "-proc:none"]
    got = subprocess.run(javac + ["Churn.java"], cwd=where, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False)
    if got.returncode:
        raise ct.Failed("javac: %r" % got.stdout)
    return where


def main(t):
    if not os.path.exists(JAVA):
        t.skip("java_is_there", "no openjdk-17-jre-headless")
        return
    where = compiled()
    for collector in ct.full(("G1", "Parallel", "Serial"), ("G1",)):
        argv = [JAVA, "-XX:+Use%sGC" % collector, "-XX:ParallelGCThreads=4", "-Xmx64m",
                "-cp", where, "Churn", str(ROUNDS)]
        job = ct.Job("java-" + collector.lower(), lambda _, a=argv: a, started=b"ready\n", span=(0.3, 0.9))
        ct.both_ways(t, job, restored=ct.full(5, 1), running=ct.full(5, 1), kill=ct.full(1, 0))


ct.run(main)
