package vuln

import (
	"math"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"
)

// A score is a base score of CVSS: ten times the score, and the rank of the
// version of CVSS above it, so that the greater score is the one to go by. The
// zero score is none.
type score uint32

const (
	rankV2 = iota + 1
	rankV30
	rankV31
	rankV4
)

func makeScore(rank int, base float64) score {
	return score(rank<<8 | int(math.Round(base*10)))
}

func (s score) base() float64 { return float64(s&0xff) / 10 }

// rating returns the qualitative severity of CVSS; version 2 has no critical.
func (s score) rating() rating {
	switch base := s & 0xff; {
	case s == 0:
		return unrated
	case base >= 90 && s>>8 > rankV2:
		return critical
	case base >= 70:
		return high
	case base >= 40:
		return medium
	case base > 0:
		return low
	}
	return negligible
}

// parseVector returns the base score of a vector, 0 for what is none. The
// vector tells the version itself.
func parseVector(vector string) score {
	if len(vector) > maxURL {
		return 0
	}
	switch {
	case strings.HasPrefix(vector, "CVSS:4.0/"):
		if v, err := gocvss40.ParseVector(vector); err == nil {
			return makeScore(rankV4, v.Score())
		}
	case strings.HasPrefix(vector, "CVSS:3.1/"):
		if v, err := gocvss31.ParseVector(vector); err == nil {
			return makeScore(rankV31, v.BaseScore())
		}
	case strings.HasPrefix(vector, "CVSS:3.0/"):
		if v, err := gocvss30.ParseVector(vector); err == nil {
			return makeScore(rankV30, v.BaseScore())
		}
	default:
		if v, err := gocvss20.ParseVector(strings.Trim(vector, "()")); err == nil {
			return makeScore(rankV2, v.BaseScore())
		}
	}
	return 0
}
