module github.com/repod-io/repod/aptrepo/bench/peers

go 1.26.0

require (
	github.com/aptly-dev/aptly v1.5.0
	github.com/repod-io/repod v0.0.0
	pault.ag/go/debian v0.19.0
)

require (
	github.com/AlekSi/pointer v1.0.0 // indirect
	github.com/DisposaBoy/JsonConfigReader v0.0.0-20130112093355-33a99fdf1d5e // indirect
	github.com/awalterschulze/gographviz v0.0.0-20160912181450-761fd5fbb34e // indirect
	github.com/cavaliergopher/grab/v3 v3.0.1 // indirect
	github.com/h2non/filetype v1.0.5 // indirect
	github.com/jlaffaye/ftp v0.0.0-20180404123514-2403248fa8cc // indirect
	github.com/kjk/lzma v0.0.0-20161016003348-3fd93898850d // indirect
	github.com/klauspost/compress v1.20.3 // indirect
	github.com/klauspost/pgzip v1.2.5 // indirect
	github.com/mkrautz/goar v0.0.0-20150919110319-282caa8bd9da // indirect
	github.com/mxk/go-flowrate v0.0.0-20140419014527-cca7078d478f // indirect
	github.com/pborman/uuid v0.0.0-20180122190007-c65b2f87fee3 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/smira/go-ftp-protocol v0.0.0-20140829150050-066b75c2b70d // indirect
	github.com/smira/go-xz v0.0.0-20150414201226-0c531f070014 // indirect
	github.com/ugorji/go/codec v1.2.7 // indirect
	github.com/ulikunitz/xz v0.5.17 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/term v0.47.0 // indirect
	golang.org/x/time v0.16.0 // indirect
	gopkg.in/h2non/filetype.v1 v1.0.1 // indirect
	pault.ag/go/topsort v0.1.1 // indirect
)

replace github.com/repod-io/repod => ../../..
