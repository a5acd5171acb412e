//go:build tools

// Package tools names the Go programs that check what `attest init` writes, so
// that go.mod and go.sum pin them. Nothing here is compiled into anything.
package tools

import (
	_ "github.com/rhysd/actionlint/cmd/actionlint"
)
