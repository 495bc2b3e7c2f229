export interface Order {
  readonly number: number;
  /** The customer's `id`. */
  readonly customer: string;
  readonly cents: number;
}

export interface Customer {
  readonly id: string;
  readonly name: string;
  readonly city: string;
}

/** Customers, the same each time. */
export function* randomCustomers(count: number): Generator<Customer> {
  const random = randomNumbers(1);
  for (let i = 0; i < count; i++) {
    const [first, last, city] = [FIRST, LAST, CITIES].map((of) => of[random(of.length)] ?? "");
    yield { id: `c-${i}`, name: `${last}, ${first}`, city: city ?? "" };
  }
}

/** Orders, the same each time; one of a hundred is of a customer that there is not. */
export function* randomOrders(count: number, customers: number): Generator<Order> {
  const random = randomNumbers(2);
  for (let number = 1; number <= count; number++) {
    const customer = random(100) === 0 ? customers + random(1000) : random(customers);
    yield { number, customer: `c-${customer}`, cents: 100 + random(100_000) };
  }
}

/** Whole numbers from 0 to below a bound, by a linear congruential generator. */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const FIRST = ["Ann", "Bob", "Cy", "Dee", "Eve", "Fay"];
const LAST = ["Abe", "Brown", "Cohen", "Diaz", "Evans", "Fu", "Garcia"];
const CITIES = ["Accra", "Bonn", "Cali", "Delhi", "Essen"];
