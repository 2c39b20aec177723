package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/repod-io/repod/aptrepo"
	"github.com/repod-io/repod/aptrepo/upstream"
	"github.com/repod-io/repod/deb"
)

// Errors that callers can tell apart with errors.Is, beside those of packages
// aptrepo and resolve and the *upstream.Failure.
var (
	ErrUnknownSource  = errors.New("source does not exist")
	ErrSourceDisabled = errors.New("source is disabled")
	ErrNoSources      = errors.New("no source is enabled")
	// ErrNotSynced: no source that counts was ever synced.
	ErrNotSynced = errors.New("no source has been synced yet")
)

// A Catalog keeps what the sources offer; package sqlstore implements it.
type Catalog interface {
	upstream.Catalog
	// EachPackage yields all packages of a source as one sync left them, without
	// holding a transaction open between yields longer than needed;
	// upstream.ErrSuperseded ends it when a sync comes in between. An unknown
	// source has none.
	EachPackage(ctx context.Context, source string) iter.Seq2[upstream.Package, error]
}

// An Importer imports into one repository. Its fields must not change after the
// first call. All methods are safe for concurrent use.
type Importer struct {
	Repo *aptrepo.Repo
	// Catalog keeps what the sources offer. Required when there are any.
	Catalog Catalog
	// Sources returns the sources as they are configured now. Nil: none.
	Sources func() []upstream.Source
	// Keyrings has the keys that sources name.
	Keyrings upstream.Keyrings
	// Client returns what makes the requests, as it is configured now. Nil: an
	// upstream.Client with its defaults.
	Client func() *upstream.Client
	// Concurrency returns how many downloads, or syncs of sources, go on at a
	// time. Nil: 2.
	Concurrency func() int
	// MaxSize returns how many bytes a package may have. Nil: any number.
	MaxSize func() int64
	// PullThrough returns the codenames of the distributions whose indices list
	// what the sources offer, and that get a package when somebody asks for its
	// file: see RefreshOffers and Pull. Repo.Offers must agree. Nil: none.
	PullThrough func() []string
	// Cache is a directory for the index files that were fetched last, which
	// make the next sync cheaper. "": they are not kept.
	Cache string
	// Spool is where downloads lie until they are published. "": os.TempDir().
	Spool string
	// Logger gets what a human should know. Nil: slog.Default().
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time

	syncing sync.Map // IDs of the sources that are synced here now
	pulls   singleflight.Group
}

func (im *Importer) logger() *slog.Logger {
	if im.Logger != nil {
		return im.Logger
	}
	return slog.Default()
}

func (im *Importer) concurrency() int {
	if im.Concurrency == nil {
		return 2
	}
	return max(1, im.Concurrency())
}

// each calls do with 0 to n-1, on Concurrency goroutines at most, and waits for
// all of them.
func (im *Importer) each(n int, do func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, im.concurrency())
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	wg.Wait()
}

func (im *Importer) sources() []upstream.Source {
	if im.Sources == nil {
		return nil
	}
	return im.Sources()
}

func (im *Importer) client() *upstream.Client {
	if im.Client == nil {
		return nil
	}
	return im.Client()
}

// source returns one of the configured sources, or ErrUnknownSource.
func (im *Importer) source(id string) (upstream.Source, error) {
	for _, s := range im.sources() {
		if s.ID == id {
			return s, nil
		}
	}
	return upstream.Source{}, fmt.Errorf("%w: %s", ErrUnknownSource, id)
}

// states returns what is known of the sources, by ID.
func (im *Importer) states(ctx context.Context) (map[string]upstream.State, error) {
	byID := make(map[string]upstream.State)
	if im.Catalog == nil {
		return byID, nil
	}
	list, err := im.Catalog.SourceStates(ctx)
	for _, st := range list {
		byID[st.SourceID] = st
	}
	return byID, err
}

// eligible returns the sources that serve a distribution, any when codename is
// "": enabled ones that were synced, only the one named if id is not empty. They
// come in the order of preference among equal versions: security first, then by
// ID. Errors: ErrUnknownSource, ErrNotSynced.
func (im *Importer) eligible(ctx context.Context, codename, id string) ([]upstream.Source, error) {
	if id != "" {
		if _, err := im.source(id); err != nil {
			return nil, err
		}
	}
	states, err := im.states(ctx)
	if err != nil {
		return nil, err
	}
	var list []upstream.Source
	for _, s := range im.sources() {
		serves := codename == "" || s.TargetDistribution == "" || s.TargetDistribution == codename
		if s.Enabled && serves && (id == "" || s.ID == id) && !states[s.ID].LastSync.IsZero() {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil, ErrNotSynced
	}
	slices.SortFunc(list, func(a, b upstream.Source) int {
		if a.Security != b.Security {
			return map[bool]int{true: -1, false: 1}[a.Security]
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return list, nil
}

func ids(sources []upstream.Source) []string {
	list := make([]string, len(sources))
	for i, s := range sources {
		list[i] = s.ID
	}
	return list
}

// SearchOptions say what to search for.
type SearchOptions struct {
	Q        string
	SourceID string // "": all enabled sources
	Arch     string // "": any
	Limit    int    // default 20
}

// A Hit is a package that a search found.
type Hit struct {
	upstream.Found
	Suite    string // of the source
	Security bool
}

// Search looks for packages that the enabled sources offer, in the order of
// [upstream.Found]. Errors: ErrUnknownSource, ErrNotSynced.
func (im *Importer) Search(ctx context.Context, o SearchOptions) ([]Hit, error) {
	sources, err := im.eligible(ctx, "", o.SourceID)
	if err != nil {
		return nil, err
	}
	found, err := im.Catalog.SearchPackages(ctx, upstream.Query{
		Q: o.Q, Sources: ids(sources), Arch: o.Arch, Limit: cmp.Or(o.Limit, 20),
	})
	if err != nil {
		return nil, err
	}
	byID := make(map[string]upstream.Source, len(sources))
	for _, s := range sources {
		byID[s.ID] = s
	}
	hits := make([]Hit, len(found))
	for i, f := range found {
		hits[i] = Hit{Found: f, Suite: byID[f.SourceID].Suite, Security: byID[f.SourceID].Security}
	}
	return hits, nil
}

// Check reports what is wrong with a request before anything is looked for:
// aptrepo's ErrScope, ErrNameScope, ErrUnknownDistribution, ErrUnknownComponent
// and ErrUnsupportedArch, ErrUnknownSource, ErrNotSynced.
func (im *Importer) Check(ctx context.Context, q Request) error {
	if !aptrepo.ActorFrom(ctx).MayWrite(q.Distribution) {
		return aptrepo.ErrScope
	}
	if !aptrepo.ActorFrom(ctx).MayName(q.Name) {
		return aptrepo.ErrNameScope
	}
	d, err := im.Repo.Distribution(ctx, q.Distribution)
	if err != nil {
		return err
	}
	if !slices.Contains(d.Components, q.Component) {
		return fmt.Errorf("%w: %s", aptrepo.ErrUnknownComponent, q.Component)
	}
	if q.Arch != "all" && !slices.Contains(d.Architectures, q.Arch) {
		return fmt.Errorf("%w: %s", aptrepo.ErrUnsupportedArch, q.Arch)
	}
	_, err = im.eligible(ctx, q.Distribution, q.SourceID)
	return err
}

// parseRelations reads a relationship field that was checked when it was
// synced, or when its package was published. What does not parse has no effect.
func parseRelations(value string) deb.Relations {
	if value == "" {
		return nil
	}
	r, err := deb.ParseRelations(value)
	if err != nil {
		return nil
	}
	return r
}
