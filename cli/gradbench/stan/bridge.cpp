// Stan's algorithms on one Stan program, for Python: counted, and told where warm-up ends.
//
// Compiled once against Stan's headers, then linked with each program's own C++, which provides
// new_model. Counting happens in Counted, through which the algorithms see the program.

#include <algorithm>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <stan/callbacks/interrupt.hpp>
#include <stan/callbacks/logger.hpp>
#include <stan/callbacks/writer.hpp>
#include <stan/io/empty_var_context.hpp>
#include <stan/io/json/json_data.hpp>
#include <stan/model/log_prob_grad.hpp>
#include <stan/model/model_base.hpp>
#include <stan/services/experimental/advi/fullrank.hpp>
#include <stan/services/experimental/advi/meanfield.hpp>
#include <stan/services/sample/hmc_nuts_dense_e_adapt.hpp>
#include <stan/services/sample/hmc_nuts_diag_e_adapt.hpp>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

namespace py = pybind11;

stan::model::model_base &new_model(stan::io::var_context &data, unsigned int seed,
                                   std::ostream *messages);

namespace {

struct Counts {
  long n_logp = 0;
  long n_grad = 0;
};

stan::json::json_data context(const std::string &json) {
  std::istringstream stream(json);
  return stan::json::json_data(stream);
}

// Says that it has every parameter, so that Stan's algorithms ask Counted for their start.
class Start : public stan::io::empty_var_context {
 public:
  bool contains_r(const std::string &) const override { return true; }
};

// What Stan's algorithms take for the program: everything is passed on, densities are counted.
//
// They start from an unconstrained vector: not every constrained value has its own (a unit vector
// has no length), and JSON has none for tuples of arrays.
class Counted {
 public:
  Counted(const stan::model::model_base &model, std::vector<double> start)
      : model_(model), start_(std::move(start)) {}

  template <typename Context>
  void transform_inits(const Context &, std::vector<int> &, std::vector<double> &x,
                       std::ostream *) const {
    x = start_;
  }

  template <bool propto, bool jacobian, typename T>
  T log_prob(std::vector<T> &x, std::vector<int> &integers, std::ostream *messages) const {
    count<T>();
    return model_.template log_prob<propto, jacobian>(x, integers, messages);
  }
  template <bool propto, bool jacobian, typename T>
  T log_prob(Eigen::Matrix<T, -1, 1> &x, std::ostream *messages) const {
    count<T>();
    return model_.template log_prob<propto, jacobian>(x, messages);
  }
  template <bool propto, typename T>
  T log_prob(Eigen::Matrix<T, -1, 1> &x, std::ostream *messages) const {
    count<T>();
    return model_.template log_prob<propto>(x, messages);
  }

#define GRADBENCH_PASS_ON(method)                                        \
  template <typename... Arguments>                                       \
  auto method(Arguments &&...arguments) const {                          \
    return model_.method(std::forward<Arguments>(arguments)...);         \
  }
  GRADBENCH_PASS_ON(constrained_param_names)
  GRADBENCH_PASS_ON(get_dims)
  GRADBENCH_PASS_ON(get_param_names)
  GRADBENCH_PASS_ON(model_name)
  GRADBENCH_PASS_ON(num_params_i)
  GRADBENCH_PASS_ON(num_params_r)
  GRADBENCH_PASS_ON(unconstrain_array)
  GRADBENCH_PASS_ON(unconstrained_param_names)
#undef GRADBENCH_PASS_ON

  template <typename Rng>
  void write_array(Rng &rng, std::vector<double> &x, std::vector<int> &integers,
                   std::vector<double> &found, bool transformed = true, bool generated = true,
                   std::ostream *messages = nullptr) const {
    written = x;
    model_.write_array(rng, x, integers, found, transformed, generated, messages);
  }

  mutable Counts counts;
  mutable std::vector<double> written;  // the last vector whose constrained values were asked for

 private:
  template <typename T>
  void count() const {
    if (std::is_same<T, double>::value)
      ++counts.n_logp;
    else
      ++counts.n_grad;
  }
  const stan::model::model_base &model_;
  const std::vector<double> start_;
};

// Where warm-up ends: the counts then, and a call to Python, which reads its clock.
class Boundary : public stan::callbacks::writer {
 public:
  Boundary(const Counted &model, py::function passed)
      : model_(model), passed_(std::move(passed)) {}

  using stan::callbacks::writer::operator();
  void operator()(const std::string &message) override {
    if (message == "Adaptation terminated") pass();
  }
  void pass() {
    counts = model_.counts;
    py::gil_scoped_acquire python;
    passed_();
  }
  Counts counts;

 private:
  const Counted &model_;
  py::function passed_;
};

// Keeps the rows it is given.
class Rows : public stan::callbacks::writer {
 public:
  using stan::callbacks::writer::operator();
  void operator()(const std::vector<std::string> &names) override { columns = names; }
  void operator()(const std::vector<double> &row) override {
    values.insert(values.end(), row.begin(), row.end());
  }
  std::vector<std::string> columns;
  std::vector<double> values;
};

class Errors : public stan::callbacks::logger {
 public:
  void error(const std::string &message) override { text += message + " "; }
  void error(const std::stringstream &message) override { text += message.str() + " "; }
  void fatal(const std::string &message) override { text += message + " "; }
  void fatal(const std::stringstream &message) override { text += message.str() + " "; }
  void warn(const std::string &message) override { last_warning = message; }
  void warn(const std::stringstream &message) override { last_warning = message.str(); }
  std::string text, last_warning;
};

// Keeps a variational fit's draws, unconstrained; the first row, its mean, tells that it is done.
class Fitted : public Rows {
 public:
  Fitted(const Counted &model, Boundary &boundary) : model_(model), boundary_(boundary) {
    model.unconstrained_param_names(columns, false, false);
  }
  using Rows::operator();
  void operator()(const std::vector<std::string> &) override {}
  void operator()(const std::vector<double> &) override {
    if (values.empty()) boundary_.pass();
    Rows::operator()(model_.written);
  }

 private:
  const Counted &model_;
  Boundary &boundary_;
};

// Gives a thread that isn't Python's main one, as those of nutpie, Stan's memory for gradients.
void enter() { static thread_local stan::math::ChainableStack memory; }

class Program {
 public:
  Program(const std::string &data, unsigned int seed) {
    auto parsed = context(data);
    model_.reset(&new_model(parsed, seed, &messages_));
  }

  size_t ndim() const { return model_->num_params_r(); }

  std::vector<std::string> names(bool transformed) const {
    std::vector<std::string> found;
    model_->get_param_names(found, transformed, false);
    return found;
  }

  std::vector<std::vector<size_t>> dims(bool transformed) const {
    std::vector<std::vector<size_t>> found;
    model_->get_dims(found, transformed, false);
    return found;
  }

  std::vector<std::string> scalars(bool transformed) const {
    std::vector<std::string> found;
    model_->constrained_param_names(found, transformed, false);
    return found;
  }

  std::vector<std::string> coordinates() const {
    std::vector<std::string> found;
    model_->unconstrained_param_names(found, false, false);
    return found;
  }

  // -inf where the program rejects the point, as for Stan's own algorithms.
  double logdensity(std::vector<double> x, bool jacobian) const {
    enter();
    std::vector<int> integers;
    try {
      return jacobian ? model_->template log_prob<false, true>(x, integers, &messages_)
                      : model_->template log_prob<false, false>(x, integers, &messages_);
    } catch (const std::domain_error &) {
      return -std::numeric_limits<double>::infinity();
    }
  }

  std::pair<double, std::vector<double>> gradient(std::vector<double> x, bool jacobian) const {
    enter();
    std::vector<int> integers;
    std::vector<double> found;
    try {
      double value = jacobian ? stan::model::log_prob_grad<true, true>(*model_, x, integers,
                                                                       found, &messages_)
                              : stan::model::log_prob_grad<true, false>(*model_, x, integers,
                                                                        found, &messages_);
      return {value, found};
    } catch (const std::domain_error &) {
      return {-std::numeric_limits<double>::infinity(),
              std::vector<double>(x.size(), std::numeric_limits<double>::quiet_NaN())};
    }
  }

  // Parameters and transformed parameters, the first index running fastest; NaN where rejected.
  std::vector<double> constrain(std::vector<double> x) const {
    enter();
    stan::rng_t rng;
    std::vector<int> integers;
    std::vector<double> found;
    try {
      model_->write_array(rng, x, integers, found, true, false, &messages_);
    } catch (const std::domain_error &) {
      std::fill(found.begin(), found.end(), std::numeric_limits<double>::quiet_NaN());
    }
    return found;
  }

  std::vector<double> unconstrain(const std::string &parameters) const {
    auto parsed = context(parameters);
    std::vector<int> integers;
    std::vector<double> found;
    model_->transform_inits(parsed, integers, found, &messages_);
    return found;
  }

  py::dict nuts(std::vector<double> x, unsigned int seed, unsigned int chain, int warmup,
                int samples, bool is_dense, int max_depth, double delta,
                py::function boundary) const {
    Counted counted(*model_, std::move(x));
    Boundary ended(counted, std::move(boundary));
    Rows rows;
    return run(counted, ended, rows, [&](auto &nothing, auto &none, auto &errors) {
      namespace sample = stan::services::sample;
      const Start start;
      const auto with = [&](auto algorithm) {
        return algorithm(counted, start, seed, chain, 2.0, warmup, samples, 1, true, 0, 1.0, 0.0,
                         max_depth, delta, 0.05, 0.75, 10.0, 75, 50, 25, nothing, errors, none,
                         ended, rows);
      };
      return is_dense ? with([](auto &&...a) { return sample::hmc_nuts_dense_e_adapt(a...); })
                      : with([](auto &&...a) { return sample::hmc_nuts_diag_e_adapt(a...); });
    });
  }

  py::dict advi(std::vector<double> x, unsigned int seed, int iterations, int samples,
                bool is_full_rank, int grad_samples, int elbo_samples, double tol_rel_obj,
                py::function boundary) const {
    Counted counted(*model_, std::move(x));
    Boundary ended(counted, std::move(boundary));
    Fitted rows(counted, ended);
    return run(counted, ended, rows, [&](auto &nothing, auto &none, auto &errors) {
      namespace advi = stan::services::experimental::advi;
      const Start start;
      return is_full_rank
                 ? advi::fullrank(counted, start, seed, 1, 2.0, grad_samples, elbo_samples,
                                  iterations, tol_rel_obj, 1.0, true, 50, 100, samples, nothing,
                                  errors, none, rows, none)
                 : advi::meanfield(counted, start, seed, 1, 2.0, grad_samples, elbo_samples,
                                   iterations, tol_rel_obj, 1.0, true, 50, 100, samples, nothing,
                                   errors, none, rows, none);
    });
  }

 private:
  template <typename Algorithm>
  py::dict run(const Counted &counted, const Boundary &ended, const Rows &rows,
               Algorithm algorithm) const {
    stan::callbacks::interrupt nothing;
    stan::callbacks::writer none;
    Errors errors;
    int code;
    {
      py::gil_scoped_release python;
      code = algorithm(nothing, none, errors);
    }
    if (code != 0)
      throw std::runtime_error(errors.text.empty() ? errors.last_warning : errors.text);
    const auto n = static_cast<py::ssize_t>(rows.columns.size());
    py::dict found;
    found["columns"] = rows.columns;
    found["values"] = py::array_t<double>(
        {static_cast<py::ssize_t>(rows.values.size()) / n, n}, rows.values.data());
    found["n_logp"] = counted.counts.n_logp;
    found["n_grad"] = counted.counts.n_grad;
    found["n_logp_warmup"] = ended.counts.n_logp;
    found["n_grad_warmup"] = ended.counts.n_grad;
    return found;
  }

  std::unique_ptr<stan::model::model_base> model_;
  mutable std::ostringstream messages_;
};

}  // namespace

PYBIND11_MODULE(bridge, m) {
  py::class_<Program>(m, "Program")
      .def(py::init<const std::string &, unsigned int>(), py::arg("data"), py::arg("seed") = 1)
      .def_property_readonly("ndim", &Program::ndim)
      .def("names", &Program::names, py::arg("transformed") = false)
      .def("dims", &Program::dims, py::arg("transformed") = false)
      .def("coordinates", &Program::coordinates)
      .def("scalars", &Program::scalars, py::arg("transformed") = false)
      .def("logdensity", &Program::logdensity, py::arg("x"), py::arg("jacobian") = true)
      .def("gradient", &Program::gradient, py::arg("x"), py::arg("jacobian") = true)
      .def("constrain", &Program::constrain, py::arg("x"))
      .def("unconstrain", &Program::unconstrain, py::arg("parameters"))
      .def("nuts", &Program::nuts)
      .def("advi", &Program::advi);
}
