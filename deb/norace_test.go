//go:build !race

package deb_test

const raceDetector = false
