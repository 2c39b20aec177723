# make test    everything that must pass before a change goes in
# make quick   the tests alone, without services and without the race detector
# make build   bin/repod

GO       ?= go
FUZZTIME ?= 5s
BENCH    ?= .

.PHONY: build test quick lint race fuzz bench deps clean
.NOTPARALLEL:

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o bin/repod ./cmd/repod

# The race tests come last: what make test prints last is their verdict.
test: export REPOD_E2E = 1
test: deps lint fuzz race

quick:
	$(GO) test ./...

lint:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool -modfile=tools.mod staticcheck ./...
	$(GO) mod tidy -diff

race:
	$(GO) test -race -shuffle=on -timeout 20m ./...

fuzz:
	.ci/fuzz $(FUZZTIME)

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

deps:
	@.ci/deps
	@GO='$(GO)' .ci/s3store

clean:
	rm -rf bin
