//go:build race

package deb_test

// raceDetector tells tests that move much data for the sake of its size that
// the race detector makes them slow and has nothing to find.
const raceDetector = true
