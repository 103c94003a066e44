# The protocols without locks, in every execution that a machine with store buffers allows.

check_PROGRAMS += tests/model/model
TESTS += tests/model/model

tests_model_model_SOURCES = \
	tests/model/biased.c \
	tests/model/handles.c \
	tests/model/leaves.c \
	tests/model/machine.c \
	tests/model/machine.h \
	tests/model/main.c \
	tests/model/protocols.h
