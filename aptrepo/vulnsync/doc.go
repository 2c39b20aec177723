// Package vulnsync gives all servers of a repository the same vulnerability data.
//
// Each server matches packages against a database of its own (vuln.DB), which is
// files on its disk. One of them at a time, whichever runs the job, brings new
// data in by [Share.Change]. It puts what it has then into the storage that all
// share, as one file that never changes, and makes it current by a
// compare-and-swap in the database that all share ([Store]). The others see that
// there are other data ([Share.Run]), fetch them, and swap them in as a whole.
//
// The database says what the data are, by a SHA-256 over the manifest, which has
// those of all parts: whoever can write to the storage alone cannot change them.
// Nothing here goes through the network but by the storage and the database.
//
// What is in the database at last holds. Data that a server has brought in and
// could not make current, because another was faster or the storage was away, it
// drops again.
package vulnsync
