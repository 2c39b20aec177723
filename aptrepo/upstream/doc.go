// Package upstream reads other people's APT archives: it fetches their indices,
// believes nothing that is not signed by the keys of the source, and downloads
// packages as those indices describe them.
package upstream
