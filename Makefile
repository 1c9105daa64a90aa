# SPDX-License-Identifier: MIT
# The usual words. Everything real is in meson, ./start and ./check.
BUILD = build/release

.PHONY: all install test lint format type-check benchmark compare clean

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	scripts/install-packages build
	meson setup $(BUILD) --buildtype release

install: all
	meson install -C $(BUILD)

test:
	./check

# clang-tidy wants to read how clang was called.
lint:
	[ -f build/lint/build.ninja ] || CC=clang meson setup build/lint >/dev/null
	scripts/lint build/lint

format:
	git ls-files '*.c' '*.h' | xargs clang-format -i

# C is checked by its compilers: both, with every warning an error.
type-check:
	./check gcc-debug clang-debug

benchmark: all
	$(BUILD)/bench/weft-bench

# Beside Go, Tokio and libuv, those of them that are installed. About a quarter of an hour.
compare: all
	bench/compare

clean:
	rm -rf build
