package s3_test

import (
	"fmt"
	"os"

	"github.com/repod-io/repod/aptrepo/storage/s3"
)

func ExampleOpen() {
	config, err := s3.ParseURL("s3://packages/apt?endpoint=https://s3.example.com&path_style=true")
	if err != nil {
		fmt.Println(err)
		return
	}
	config.AccessKeyID = os.Getenv("AWS_ACCESS_KEY_ID")
	config.SecretAccessKey = os.Getenv("AWS_SECRET_ACCESS_KEY")
	files, err := s3.Open(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer files.Close()
	// &aptrepo.Repo{Storage: files, ...}, after files.Probe(ctx)
}
