package scan

import "slices"

// A Verdict is what a policy makes of a package.
type Verdict string

// The verdicts, the mildest first.
const (
	Allow  Verdict = "allow"
	Warn   Verdict = "warn" // published, and told
	Review Verdict = "review"
	Block  Verdict = "block"
)

var verdicts = []Verdict{Allow, Warn, Review, Block}

// Strictest returns the strictest of some verdicts, Allow when there are none.
func Strictest(list ...Verdict) Verdict {
	worst := 0
	for _, v := range list {
		worst = max(worst, slices.Index(verdicts, v))
	}
	return verdicts[worst]
}

// A Policy says what may be published. The zero Policy allows everything but
// what was not scanned as it should; see DefaultPolicy.
type Policy struct {
	// Severities holds what a finding of each severity leads to; those that are
	// missing are allowed.
	Severities map[Severity]Verdict
	// KEV is what a finding leads to that is known to be exploited. "": as any.
	KEV Verdict
	// A finding whose EPSS is not below EPSSBlock or EPSSReview is blocked or
	// reviewed. 0: EPSS does not count.
	EPSSBlock, EPSSReview float64
	// Unfixable is the strictest that findings lead to for which there is no
	// fixed version, if they are not known to be exploited. "": there is no such
	// bound.
	Unfixable Verdict
	// Failure is what a scan leads to that failed or was incomplete: Block (the
	// default, ""), Review or Allow.
	Failure Verdict
}

// DefaultPolicy returns the policy of a new repository.
func DefaultPolicy() Policy {
	return Policy{
		Severities: map[Severity]Verdict{Critical: Block, High: Review, Medium: Warn, Unknown: Warn},
		KEV:        Block,
		EPSSBlock:  0.9,
		EPSSReview: 0.5,
	}
}

// Of returns what a finding leads to.
func (p Policy) Of(f Finding) Verdict {
	if !f.Gates {
		return Allow
	}
	v := Strictest(p.Severities[f.Severity])
	if f.EPSS != nil {
		switch {
		case p.EPSSBlock > 0 && *f.EPSS >= p.EPSSBlock:
			v = Strictest(v, Block)
		case p.EPSSReview > 0 && *f.EPSS >= p.EPSSReview:
			v = Strictest(v, Review)
		}
	}
	if f.KEV && p.KEV != "" {
		return Strictest(v, p.KEV)
	}
	if p.Unfixable != "" && f.FixState != Fixed && slices.Index(verdicts, v) > slices.Index(verdicts, p.Unfixable) {
		return p.Unfixable
	}
	return v
}

// Findings returns the strictest of what findings lead to, without those that
// are settled.
func (p Policy) Findings(list []Finding, settled func(Finding) bool) Verdict {
	v := Allow
	for _, f := range list {
		if settled == nil || !settled(f) {
			v = Strictest(v, p.Of(f))
		}
	}
	return v
}

// OnFailure is Failure with its default.
func (p Policy) OnFailure() Verdict {
	if p.Failure == "" {
		return Block
	}
	return p.Failure
}
