// Pins the forge that the tests use as a registry. Gitea builds in its own module
// (its replacements count only there), so .ci/parts takes the source that is named
// and hashed here and builds it against Gitea's own go.sum.
module tools/gitea

go 1.26.0

require code.gitea.io/gitea v1.25.5
