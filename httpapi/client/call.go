package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// at returns an escaped path of segments, "" when one is empty. No segment, "."
// and ".." included, leads to another path than its own.
func at(segments ...string) string {
	var path strings.Builder
	for _, s := range segments {
		if s == "" {
			return ""
		}
		escaped := url.PathEscape(s)
		if s == "." || s == ".." {
			escaped = strings.ReplaceAll(s, ".", "%2E")
		}
		path.WriteString("/" + escaped)
	}
	return path.String()
}

// get reads something.
func get[T any](ctx context.Context, c *Client, path string, query any) (T, error) {
	var out T
	err := c.exchange(ctx, request{method: http.MethodGet, path: path, query: queryOf(query), safe: true}, &out)
	return out, err
}

// post has something done that must not be done twice without being asked for.
func post[T any](ctx context.Context, c *Client, path string, query, body any) (T, error) {
	return change[T](ctx, c, request{method: http.MethodPost, path: path, query: queryOf(query)}, body)
}

// repeat has something done that does no harm twice.
func repeat[T any](ctx context.Context, c *Client, path string, query, body any) (T, error) {
	return change[T](ctx, c, request{method: http.MethodPost, path: path, query: queryOf(query), safe: true}, body)
}

func change[T any](ctx context.Context, c *Client, r request, body any) (T, error) {
	var out T
	if body != nil {
		r.body = jsonBody(body)
	}
	err := c.exchange(ctx, r, &out)
	return out, err
}

// remove deletes something.
func remove(ctx context.Context, c *Client, path string, query any) error {
	return c.exchange(ctx, request{method: http.MethodDelete, path: path, query: queryOf(query)}, nil)
}

// queryOf returns the parameters that the fields of a struct with the tag url
// name, without those that are zero. Structs that are embedded count.
func queryOf(v any) url.Values {
	query := url.Values{}
	if v == nil {
		return query
	}
	value := reflect.ValueOf(v)
	for _, f := range reflect.VisibleFields(value.Type()) {
		name := f.Tag.Get("url")
		field := value.FieldByIndex(f.Index)
		if name == "" || field.IsZero() {
			continue
		}
		switch field.Kind() {
		case reflect.String:
			query.Set(name, field.String())
		case reflect.Int:
			query.Set(name, strconv.FormatInt(field.Int(), 10))
		case reflect.Bool:
			query.Set(name, "true")
		case reflect.Slice: // of strings
			query.Set(name, strings.Join(field.Interface().([]string), ","))
		default:
			panic("client: no parameter of type " + f.Type.String())
		}
	}
	return query
}

// A Page is one page of a listing. One past the end has no Items.
type Page[T any] struct {
	Items   []T `json:"items"`
	Total   int `json:"total"` // of items on all pages
	Page    int `json:"page"`
	PerPage int `json:"per_page"`
	Pages   int `json:"pages"`
}

// Paging says which page of a listing is wanted. Zero: the first, of the
// server's size.
type Paging struct {
	Page    int `url:"page"`
	PerPage int `url:"per_page"` // 1 to 200
}

// perPage is the most that listings give at once.
const perPage = 200

// pages yields the items of all pages of a listing. What changes meanwhile may be
// left out or come twice. After an error nothing follows.
func pages[T any](fetch func(Paging) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for n := 1; ; n++ {
			page, err := fetch(Paging{Page: n, PerPage: perPage})
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if n >= page.Pages || len(page.Items) == 0 {
				return
			}
		}
	}
}
