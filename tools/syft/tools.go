//go:build tools

// Package tools names the Go program that `make bench` measures beside, so
// that go.mod and go.sum pin it. Nothing here is compiled into anything.
package tools

import (
	_ "github.com/anchore/syft/cmd/syft"
)
