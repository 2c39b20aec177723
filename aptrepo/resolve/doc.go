// Package resolve works out what has to be fetched for a package to be
// installable from a distribution: which version of it, which packages it
// depends on, which of them are there already, and what nobody has. It decides;
// it fetches nothing and knows no database.
//
// # What is chosen
//
// Resolve reads two universes: the target, which is what the distribution has
// published, and the offers of the sources. The asked-for package comes from
// the offers. If a version is asked for it is exactly that one or, when it is
// written without epoch and revision and no version is equal to it, the newest
// whose upstream part is spelled like it. Otherwise it is the newest. Among
// equal versions the lower Preference wins.
//
// Then Pre-Depends and Depends are followed breadth first, also those of
// packages that are published already: a distribution in which they are not
// met cannot install what needs them. Recommends do not count. Each relation is
// met by the first of these that can:
//
//  1. a published package that the plan counts on already;
//  2. a published package that conflicts with nothing in the plan;
//  3. a package that the plan imports already;
//  4. a published package that conflicts with the plan, or is of another
//     architecture and counts by its Multi-Arch field;
//  5. an offer that conflicts with nothing in the plan;
//  6. an offer that does.
//
// Within each, real packages go before providers (Policy 7.5), then the first
// alternative before the others. (apt tries the providers of one alternative
// before it turns to the next. For 12 of the 279,232 relations in Debian 12 that
// comes to something else.) Of a name, offers are represented by the
// newest version that meets the relation: an older one is never taken to avoid
// a conflict, because then a package could keep a security update out. Providers
// come in the order of their names.
//
// Offers are of the architecture of the package that depends, or "all"; a
// package of architecture "all" depends as one of the asked-for architecture
// does. Another architecture has to be named ("libc6:i386").
//
// Nothing is taken back once it is chosen. Two relations may therefore
// bring two versions of one package, or packages that conflict. A repository can
// hold them, a machine cannot; the plan says so (Conflict).
//
// # Guarantees
//
// A plan depends on the packages in the universes and not on their order. Every
// relation of every package in it is met by the target or the plan, or an
// Unresolved item tells of it. When a plan has been carried out and the
// published packages outside it have their own dependencies met, the same
// request gives a plan that imports nothing.
//
// Work is bounded: by Request.Limit, and by a fixed number of packages looked
// at. Loops of dependencies end, and depth costs no stack.
//
// # Concurrency
//
// Resolve and the methods of Index may be called from several goroutines at
// once. Packages are only read.
package resolve
