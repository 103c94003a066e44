# SPDX-License-Identifier: MIT
#
# tests/fuzz: random input for code that reads untrusted data; fuzz.h describes how to run more of it

fuzz_tests = tests/fuzz/elf tests/fuzz/spec

check_PROGRAMS += $(fuzz_tests)
TESTS += $(fuzz_tests)

fuzz_ldadd = libzpool/libzpcore.la $(PTHREAD_LIBS)

tests_fuzz_elf_SOURCES = tests/fuzz/elf.c tests/fuzz/fuzz.c tests/fuzz/fuzz.h
tests_fuzz_elf_LDADD = $(fuzz_ldadd)
tests_fuzz_spec_SOURCES = tests/fuzz/spec.c tests/fuzz/fuzz.c tests/fuzz/fuzz.h
tests_fuzz_spec_LDADD = $(fuzz_ldadd)

check_PROGRAMS += tests/fuzz/trace
TESTS += tests/fuzz/trace
tests_fuzz_trace_SOURCES = tests/fuzz/trace.c tests/fuzz/fuzz.c tests/fuzz/fuzz.h tools/trace-file.c tools/trace-records.c tools/trace-file.h
