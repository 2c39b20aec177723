// Package openapi has the parts of OpenAPI 3.1 documents that describe a JSON
// API, and makes schemas (JSON Schema 2020-12) of Go types.
//
// It knows nothing of what is described. Documents marshal to the same bytes
// each time: members in the order of the structs, keys of maps sorted.
package openapi

// Version is that of the specification that documents follow.
const Version = "3.1.0"

// A Document is a whole description.
type Document struct {
	OpenAPI    string              `json:"openapi"` // Version
	Info       Info                `json:"info"`
	Servers    []Server            `json:"servers,omitempty"`
	Tags       []Tag               `json:"tags,omitempty"`
	Paths      map[string]PathItem `json:"paths"`
	Components Components          `json:"components"`
}

// Info says what is described.
type Info struct {
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"` // CommonMark
	Version     string   `json:"version"`               // of what is described
	License     *License `json:"license,omitempty"`
}

// A License is that of the API.
type License struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier,omitempty"` // SPDX
}

// A Server is where the API is; a relative URL is one to the document.
type Server struct {
	URL string `json:"url"`
}

// A Tag groups operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
}

// A PathItem holds operations by method, in lower case.
type PathItem map[string]*Operation

// An Operation is what a method does at a path.
type Operation struct {
	ID          string              `json:"operationId"`
	Tags        []string            `json:"tags,omitempty"`
	Summary     string              `json:"summary,omitempty"`
	Description string              `json:"description,omitempty"`
	Parameters  []Parameter         `json:"parameters,omitempty"`
	RequestBody *RequestBody        `json:"requestBody,omitempty"`
	Responses   map[string]Response `json:"responses"` // by status
	// Security lists alternatives. Empty, but not nil: none is needed.
	Security []map[string][]string `json:"security"`

	Role      string `json:"x-role"`                 // the least that may, or "public"
	RateLimit int    `json:"x-rate-limit,omitempty"` // requests a minute
}

// A Parameter is one of a path or query.
type Parameter struct {
	Name        string  `json:"name"`
	In          string  `json:"in"` // path, query or header
	Description string  `json:"description,omitempty"`
	Required    bool    `json:"required,omitempty"`
	Style       string  `json:"style,omitempty"`
	Explode     *bool   `json:"explode,omitempty"`
	Schema      *Schema `json:"schema"`
}

// A RequestBody is what is sent, by media type.
type RequestBody struct {
	Description string               `json:"description,omitempty"`
	Required    bool                 `json:"required,omitempty"`
	Content     map[string]MediaType `json:"content"`
}

// A Response is an answer, by media type.
type Response struct {
	Description string               `json:"description"`
	Headers     map[string]Header    `json:"headers,omitempty"`
	Content     map[string]MediaType `json:"content,omitempty"`
}

// A Header is a field of a response.
type Header struct {
	Ref         string  `json:"$ref,omitempty"`
	Description string  `json:"description,omitempty"`
	Schema      *Schema `json:"schema,omitempty"`
}

// A MediaType is a body of one type.
type MediaType struct {
	Schema *Schema `json:"schema,omitempty"`
}

// Components are what others refer to.
type Components struct {
	Schemas         map[string]*Schema        `json:"schemas,omitempty"`
	Headers         map[string]Header         `json:"headers,omitempty"`
	SecuritySchemes map[string]SecurityScheme `json:"securitySchemes,omitempty"`
}

// A SecurityScheme is a way of saying who one is.
type SecurityScheme struct {
	Type         string `json:"type"`
	Scheme       string `json:"scheme,omitempty"`
	BearerFormat string `json:"bearerFormat,omitempty"`
	Description  string `json:"description,omitempty"`
}

// A Schema is the part of JSON Schema that Go types need. The zero Schema takes
// any value.
type Schema struct {
	Ref         string   `json:"$ref,omitempty"`
	Types       Types    `json:"type,omitempty"`
	Description string   `json:"description,omitempty"`
	Format      string   `json:"format,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	Default     any      `json:"default,omitempty"`

	Minimum   *int64 `json:"minimum,omitempty"`
	Maximum   *int64 `json:"maximum,omitempty"`
	MinLength *int64 `json:"minLength,omitempty"`
	MaxLength *int64 `json:"maxLength,omitempty"`
	MinItems  *int64 `json:"minItems,omitempty"`
	MaxItems  *int64 `json:"maxItems,omitempty"`

	Items      *Schema            `json:"items,omitempty"`
	Properties map[string]*Schema `json:"properties,omitempty"`
	Required   []string           `json:"required,omitempty"`
	Values     *Schema            `json:"additionalProperties,omitempty"` // of the other properties
	AllOf      []*Schema          `json:"allOf,omitempty"`
	AnyOf      []*Schema          `json:"anyOf,omitempty"`

	ContentEncoding  string `json:"contentEncoding,omitempty"`
	ContentMediaType string `json:"contentMediaType,omitempty"`
}
