package s3

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/repod-io/repod/aptrepo/storage"
)

// ParseURL reads an address of the form
//
//	s3://BUCKET/PREFIX?endpoint=https://host:port&region=REGION&path_style=true&redirect=true&public_endpoint=https://host:port
//
// of which only the bucket is needed. With redirect=true, Config.Redirect is 15
// minutes. ParseURL leaves the credentials empty: they have
// no place in an address, and one that has them is refused. Errors do not
// repeat the address.
func ParseURL(address string) (Config, error) {
	const want = "want s3://BUCKET/PREFIX?endpoint=https://host:port&region=REGION&path_style=true"
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return Config{}, errors.New("no address of a bucket: " + want)
	}
	if u.User != nil {
		return Config{}, errors.New("credentials do not belong in the address: " + want)
	}
	if u.Fragment != "" || u.Port() != "" {
		return Config{}, errors.New("more than a bucket and a prefix: " + want)
	}
	c := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	if c.Prefix != "" && !storage.ValidKey(c.Prefix) {
		return Config{}, fmt.Errorf("%q is no valid prefix: %s", c.Prefix, want)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Config{}, errors.New("parameters that cannot be read: " + want)
	}
	for name, given := range values {
		if len(given) != 1 {
			return Config{}, fmt.Errorf("parameter %q is there twice: %s", name, want)
		}
		if err := c.set(name, given[0]); err != nil {
			return Config{}, fmt.Errorf("%w: %s", err, want)
		}
	}
	return c, nil
}

func (c *Config) set(name, value string) (err error) {
	switch name {
	case "endpoint":
		c.Endpoint = value
		_, err = parseEndpoint(value)
	case "region":
		c.Region = value
	case "public_endpoint":
		c.PublicEndpoint = value
		if _, err = parseEndpoint(value); err != nil {
			err = fmt.Errorf("public_endpoint: %w", err)
		}
	case "path_style":
		if c.PathStyle, err = strconv.ParseBool(value); err != nil {
			err = errors.New("path_style is neither true nor false")
		}
	case "redirect":
		var on bool
		if on, err = strconv.ParseBool(value); err != nil {
			err = errors.New("redirect is neither true nor false")
		}
		if on {
			c.Redirect = urlRedirect
		}
	default:
		err = fmt.Errorf("unknown parameter %q", name)
	}
	return err
}
