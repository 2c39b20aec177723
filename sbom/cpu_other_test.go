//go:build !unix

package sbom_test

func cpuTime() int64 { return 0 }
