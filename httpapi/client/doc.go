// Package client calls the HTTP API of a repository. It needs nothing but the
// standard library.
//
//	c, err := client.New("https://repo.example.com", os.Getenv("REPOD_TOKEN"), nil)
//	file, err := os.Open("hello_1.0_amd64.deb")
//	done, err := c.Upload(ctx, client.Upload{Distribution: "jammy", File: file})
//	for row, err := range c.AllPackages(ctx, client.PackageQuery{Distribution: "jammy"}) { ... }
//
// # Errors
//
// What the server refuses is an [*Error], whose Code tells programs why. All
// other errors are about the connection, or an answer that no repod gives.
// No error holds the token.
//
// # Repeating
//
// A call is made once, unless [Client.Retries] or [Client.WaitBusy] say
// otherwise. Only what does no harm twice is repeated after a connection broke:
// what reads, and uploads, imports, syncs, promotions and quarantines, which
// find what is there. What was refused because the server is busy is repeated in
// any case: it has not been done.
//
// # Jobs
//
// Long work, such as [Client.ImportBatch] and [Client.Sync], is a job of the
// server, which goes on when the caller goes away. The methods follow it by
// server-sent events until it ends, connect again when the stream breaks, and
// return its result, or its failure as an [*Error].
//
// # Safety
//
// Redirects are not followed, so the token goes to the server that was named and
// to no other. The token is sent by plain http, too, where the address says so:
// use https outside of a trusted network. Answers in JSON are read up to 64 MiB.
package client
