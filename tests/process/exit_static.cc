// SPDX-License-Identifier: BSD-2-Clause
//
// Static and thread-local C++ objects: constructors that allocate before main, destructors that free and allocate
// after it, on threads that end and in the main thread. A child does it, the parent looks at how it ended.
/* run: preload linked static */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

struct holder {
	std::map<int, std::string> names;
	std::unique_ptr<char[]> bytes;

	holder() : bytes(new char[1 << 20]) {
		memset(bytes.get(), 7, 1 << 20);
		for (int i = 0; i < 1000; i++)
			names[i] = "the name that belongs to the number " + std::to_string(i);
	}

	~holder() {
		for (int i = 0; i < 1000; i++)
			if (names[i] != "the name that belongs to the number " + std::to_string(i))
				_exit(20);
		for (int i = 0; i < 1 << 20; i++)
			if (bytes[i] != 7)
				_exit(21);
		std::vector<std::string> late(500, std::string(200, 'x'));
		names.clear();
		for (auto &s : late)
			if (s.size() != 200)
				_exit(22);
	}
};

static holder global;
thread_local holder local;
static std::unique_ptr<holder> of_thread;

int main() {
	pid_t pid = fork();
	if (pid == 0) {
		alarm(50);
		for (int round = 0; round < 5; round++) {
			std::vector<std::thread> threads;
			for (int i = 0; i < 4; i++)
				threads.emplace_back([] { local.names[-1] = std::string(1000, 'y'); });
			for (auto &t : threads)
				t.join();
		}
		std::thread([] { of_thread = std::make_unique<holder>(); }).join();
		local.names[-1] = "main";
		exit(0);
	}
	int status = -1;
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "exit_static.cc:%d: the child ended with 0x%x\n", __LINE__, status);
		return 1;
	}
	return 0;
}
