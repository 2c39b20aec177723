package resolve

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/repod-io/repod/deb"
)

// A world is a small random archive. Its names are few, so that they meet.
type world struct {
	target, offers []*Package
	request        Request
}

// randomWorld makes a world of what pick, which returns a number below n, decides.
func randomWorld(pick func(n int) int) world {
	var w world
	for range pick(8) {
		w.target = append(w.target, randomPackage(pick))
	}
	for range 1 + pick(20) {
		w.offers = append(w.offers, randomPackage(pick))
	}
	root := w.offers[pick(len(w.offers))]
	if root.Arch == "arm64" {
		root = w.offers[0]
		root.Arch = "amd64"
	}
	w.request = Request{Name: root.Name, Arch: "amd64", WithDependencies: true}
	if pick(2) == 0 {
		w.request.Version = root.Version.String()
	}
	return w
}

var letters = strings.Split("abcdefgh", "")

func randomPackage(pick func(int) int) *Package {
	p := &Package{
		Name:       letters[pick(6)],
		Version:    randomVersion(pick),
		Arch:       []string{"amd64", "amd64", "amd64", "all", "arm64"}[pick(5)],
		MultiArch:  []string{"", "", "same", "foreign", "allowed"}[pick(5)],
		Size:       int64(pick(3)),
		Preference: pick(2),
	}
	p.Depends = randomRelations(pick, 3, 3)
	p.PreDepends = randomRelations(pick, 2, 2)
	p.Conflicts = randomRelations(pick, 2, 1)
	p.Breaks = randomRelations(pick, 2, 1)
	for range pick(3) {
		d := deb.Dependency{Name: letters[4+pick(4)]}
		if pick(2) == 0 {
			d.Operator, d.Version = deb.Exactly, randomVersion(pick)
		}
		p.Provides = append(p.Provides, deb.Alternatives{d})
	}
	return p
}

func randomVersion(pick func(int) int) deb.Version {
	v, err := deb.ParseVersion([]string{"1", "1-0", "2-1", "2-2", "3", "0:3"}[pick(6)])
	if err != nil {
		panic(err)
	}
	return v
}

func randomRelations(pick func(int) int, most, alternatives int) (rels deb.Relations) {
	for range pick(most) {
		var alt deb.Alternatives
		for range 1 + pick(alternatives) {
			d := deb.Dependency{Name: letters[pick(len(letters))]}
			if pick(3) == 0 {
				d.Operator = []deb.Operator{deb.Earlier, deb.EarlierOrEqual, deb.Exactly, deb.LaterOrEqual, deb.Later}[pick(5)]
				d.Version = randomVersion(pick)
			}
			d.Qualifier = []string{"", "", "", "", "", "any", "native", "arm64"}[pick(8)]
			alt = append(alt, d)
		}
		rels = append(rels, alt)
	}
	return rels
}

func (w world) resolve(t testing.TB) *Plan {
	t.Helper()
	plan, err := Resolve(t.Context(), w.request, NewIndex(w.target), NewIndex(w.offers))
	if err != nil {
		t.Fatalf("%v in\n%s", err, w)
	}
	return plan
}

func (w world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", w.request)
	for _, set := range [][]*Package{w.target, w.offers} {
		for _, p := range set {
			fmt.Fprintf(&b, "%s %s %s %s; Pre-Depends: %s; Depends: %s; Provides: %s; Conflicts: %s; Breaks: %s\n",
				p.Name, p.Version, p.Arch, p.MultiArch, p.PreDepends, p.Depends, p.Provides, p.Conflicts, p.Breaks)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// copies returns deep enough copies of packages in another order.
func copies(packages []*Package, rnd *rand.Rand) []*Package {
	var out []*Package
	for _, i := range rnd.Perm(len(packages)) {
		p := *packages[i]
		out = append(out, &p)
	}
	return out
}

func TestProperties(t *testing.T) {
	runs := 10_000
	if testing.Short() {
		runs = 2000
	}
	for seed := range uint64(runs) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		w := randomWorld(rnd.IntN)
		plan := w.resolve(t)
		w.check(t, plan)
		w.checkOrder(t, plan, rnd)
		if t.Failed() {
			t.Fatalf("seed %d, plan %s of\n%s", seed, show(plan), w)
		}
	}
}

// checkOrder checks that another order of the same packages gives the same plan.
func (w world) checkOrder(t testing.TB, plan *Plan, rnd *rand.Rand) {
	t.Helper()
	shuffled := world{copies(w.target, rnd), copies(w.offers, rnd), w.request}
	if a, b := full(plan), full(shuffled.resolve(t)); a != b {
		t.Errorf("another order:\n%s\n%s", a, b)
	}
}

// Who carries out a plan has nothing more to import for the same request, if what
// was published before had all it needs. Otherwise it ends there, too, but later.
func TestPlansEnd(t *testing.T) {
	runs := 5000
	if testing.Short() {
		runs = 500
	}
	for seed := range uint64(runs) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		w := randomWorld(rnd.IntN)
		last := len(w.offers)
		for round := 0; ; round++ {
			plan := w.resolve(t)
			if plan.Import == 0 {
				break
			}
			if round > last {
				t.Fatalf("seed %d: still %s", seed, show(plan))
			}
			w.target = append(w.target, imported(plan)...)
		}
		// From here on the target is grown by plans alone.
		w.target = nil
		for range 4 {
			w.request = Request{Name: w.offers[rnd.IntN(last)].Name, Arch: "amd64", WithDependencies: true}
			plan, err := Resolve(t.Context(), w.request, NewIndex(w.target), NewIndex(w.offers))
			if err != nil {
				continue // only offered for arm64
			}
			w.target = append(w.target, imported(plan)...)
			if again := w.resolve(t); again.Import != 0 || again.Items[0].Status != Present {
				t.Fatalf("seed %d: after %s comes %s in\n%s", seed, show(plan), show(again), w)
			}
		}
	}
}

func imported(plan *Plan) (packages []*Package) {
	for _, item := range plan.Items {
		if item.Status == Import {
			packages = append(packages, item.Package)
		}
	}
	return packages
}

func FuzzResolve(f *testing.F) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 3))
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := randomWorld(func(n int) int {
			if len(b) == 0 {
				return 0
			}
			c := b[0]
			b = b[1:]
			return int(c) % n
		})
		plan := w.resolve(t)
		w.check(t, plan)
		w.checkOrder(t, plan, rand.New(rand.NewPCG(1, 1)))
		if t.Failed() {
			t.Fatalf("plan %s of\n%s", show(plan), w)
		}
	})
}
