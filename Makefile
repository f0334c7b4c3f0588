# Commands for work on this project. `make` lists them, CONTRIBUTING.md says when to use which.
#
# Everything runs in the active virtual environment, or else in .venv, which `make setup` makes.

PYTHON ?= python3
VIRTUAL_ENV ?= $(CURDIR)/.venv
export VIRTUAL_ENV
export PATH := $(VIRTUAL_ENV)/bin:$(PATH)
SHELL := /bin/bash

# For new build folders; one that is there keeps its generator.
ifneq ($(shell command -v ninja),)
export CMAKE_GENERATOR ?= Ninja
endif

CPP = $(shell git ls-files '*.cpp' '*.h')
CONFIGURE = cmake -S . \
  -DPython_EXECUTABLE="$$(command -v python)" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
  $(shell command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)

# Files or folders of tests.
what ?=

.PHONY: help setup check test core core-debug peers all

help:  ## list these commands
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup:  ## make .venv if no environment is active, install the package editable, build the core
	test -x "$(VIRTUAL_ENV)/bin/python" || $(PYTHON) -m venv "$(VIRTUAL_ENV)"
	python -m pip install --quiet --editable '.[dev]'
	$(MAKE) core

check:  ## style, layers and types, in seconds
	ruff check .
	ruff format --check .
	@if [ -f .clang-format ] && command -v clang-format >/dev/null; then \
	  echo 'clang-format --dry-run'; clang-format --dry-run --Werror $(CPP); fi
	lint-imports
	mypy

# Exit code 5: there are none but slow ones.
test:  ## the tests that your changes touch; all in what=PATH
	@what=$$([ -n "$(what)" ] && echo "$(what)" || python tools/affected_tests.py) && \
	if [ -n "$$what" ]; then echo pytest $$what && { pytest $$what || [ $$? = 5 ]; }; \
	else echo 'no test is touched by what git sees as changed; give what=PATH'; fi

core:  ## build the compiled core again, after a change in C++
	$(CONFIGURE) -B build/core
	ln -sf build/core/compile_commands.json .
	cmake --build build/core --parallel

# Beside a copy of the sources, so that the core in use stays as it is.
core-debug:  ## build the core with sanitizers and run the kernels' tests, or what=PATH, on it
	$(CONFIGURE) -B build/core-debug -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g' \
	  -DLB_SANITIZE=address,undefined -DLB_CORE_DIR="$(CURDIR)/build/core-debug/core"
	cmake --build build/core-debug --parallel
	rm -rf build/core-debug/src && cp -r src build/core-debug/src
	cp build/core-debug/core/_core* build/core-debug/src/lstm_baseline/engine/native
	@# An editable install's finder would look nowhere but in src; one of its name takes its place.
	touch build/core-debug/src/_editable_skbc_lstm_baseline.py
	PYTHONPATH="$(CURDIR)/build/core-debug/src" ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so)" \
	  python -m pytest -n 0 $(or $(what),tests/engine/native)

peers:  ## install the other frameworks and run the tests that need them
	python -m pip install --quiet --editable '.[dev,peers]'
	pytest tests/peers tests/interop tests/engine/cells/test_array_api.py tests/benchmarks
	pytest tests/contestants tests/test_readme.py

all:  ## everything that must hold, in new environments: .ci/run, under 45 minutes
	.ci/run
