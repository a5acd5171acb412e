//go:build tools

// Package tools names the parts of a Kubernetes control plane that the tests
// talk to, so that go.mod and go.sum pin them.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
