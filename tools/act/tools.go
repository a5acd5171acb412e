//go:build tools

// Package tools names the runner that tests/pipeline runs the workflow files of
// examples/playlist with, so that go.mod and go.sum pin it. Nothing here is compiled into anything.
package tools

import (
	_ "github.com/nektos/act"
)
