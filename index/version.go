package index

import "strings"

func compareVersions(a, b string) int { return strings.Compare(a, b) }
