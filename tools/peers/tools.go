//go:build tools

// Package tools names the Go programs that the tests talk to, so that go.mod
// and go.sum pin them. Nothing here is compiled into anything.
package tools

import (
	_ "github.com/google/go-containerregistry/cmd/crane"
	_ "github.com/olareg/olareg/cmd/olareg"
	_ "github.com/sigstore/cosign/v3/cmd/cosign"
	_ "oras.land/oras/cmd/oras"
)
