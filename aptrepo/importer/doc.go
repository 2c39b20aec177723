// Package importer brings packages of upstream archives into a repository: it
// finds them in the verified catalogue of the sources (package upstream),
// works out what else the distribution needs (package resolve), downloads it
// and has it published by the ordinary way, aptrepo.Batch.
package importer
