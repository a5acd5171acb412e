//go:build tools

// Package tools names the services of the private Sigstore that the tests run,
// so that go.mod and go.sum pin them. Nothing here is compiled into anything.
package tools

import (
	_ "github.com/sigstore/fulcio"
	_ "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix"
	_ "github.com/sigstore/timestamp-authority/v2/pkg/server"
)
